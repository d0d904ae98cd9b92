package main

// ownerOf names nobody: PHP runs as the user of phpserve here.
func ownerOf(string) string { return "" }

// otherAuthor names nobody: there is no root here.
func otherAuthor(string) string { return "" }
