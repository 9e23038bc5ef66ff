"""Which language is a word of? Four classes, told by the letters that follow each other.

python examples/words/land.py examples/words/landing
cd examples/words && treadle run
"""

from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

import treadle as td


class Word(td.Contract):
    word: str = td.Column(pattern=r"\p{L}{4,}")
    language: str = td.Column(allowed=["english", "french", "german", "spanish"])


words = td.Dataset(
    "words",
    source=td.Files("landing/*.csv"),
    contract=Word,
    key="word",
    outcome="language",
    split=td.HashSplit(train=0.8, validation=0.05, test=0.15),
)


@td.model(
    data=words,
    target="language",
    inputs=["word"],
    task=td.Multiclass(),
    baselines=[td.baselines.Prior()],
    gates=[td.gates.Beats("baseline"), td.gates.NoWorse("champion", on="accuracy", margin=0.01)],
    policy=td.Policy(triggers=[td.NewRows(2_000)], window=td.Expanding(), cooldown="1h"),
)
def language(data: td.TrainingData, params: dict, run: td.Run) -> Pipeline:
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 3), min_df=3)
    # TfidfVectorizer takes a column of texts, which its name alone (no list) asks for.
    columns = make_column_transformer((letters, "word"))
    return make_pipeline(columns, LogisticRegression(C=10, max_iter=500)).fit(data.train.X, data.train.y)
