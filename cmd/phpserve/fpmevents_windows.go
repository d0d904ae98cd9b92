package main

// signalNumber is 0: processes do not end by signals here.
func signalNumber(string) int { return 0 }
