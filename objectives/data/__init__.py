"""Read labelled images as arrays, from CSV files or folders of images.

A fault of the data is a `DataError`: one line, and a hint that mends it.

cache      checked data as memory-mapped arrays
csv/       reading CSV files
dataset    the data of a study
digits     bundled digits and MNIST
images/    reading image folders
kaggle     Kaggle's client
splits     equal images, and the rows that are held back
write      images in memory, and CSV files of them
"""
