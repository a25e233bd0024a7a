"""Data sets of labelled images: read from CSV files or image folders, check, split, cache.

An error in the data is a `DataError`: one line and a hint.

cache      stores checked data as memory-mapped arrays
csv/       reads CSV files
dataset    the data of a study
digits     bundled digits and MNIST
images/    reads folders of image files
kaggle     downloads data with Kaggle's client
splits     chooses held-out rows; finds equal images
write      writes images in memory as CSV files
"""
