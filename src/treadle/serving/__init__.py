"""Room 7: endpoints and their revisions, the server and the in-process predictor, the log of predictions and outcomes."""
