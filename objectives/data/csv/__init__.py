"""Reading the CSV files of an image competition.

check         one file, cell by cell
columns       which column is what
competition   train, test and sample held against each other
folder        which file is which
form          delimiter, header, comments
ids           ids of the submission
pixelnames    names of pixel columns
pixelrange    0..1, 0..16, 0..255
table         rows, labels, classes
"""
