"""Read and check the CSV files of an image competition.

check         opens a file, splits lines, checks cells
columns       decides which column is label, id or pixels
competition   reads all files, checks them against each other
folder        finds train, test and sample by name
form          detects delimiter, header, comments
ids           assigns ids; row order of the submission
pixelnames    finds pixel columns by name
pixelrange    detects the range of pixels, scales to 0..255
table         reads rows, labels, classes
"""
