"""HTTP/1.1 as the prediction server speaks it: heads, bodies and connections, on top of the event loop's transports."""
