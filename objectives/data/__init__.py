"""Labelled images as arrays, from CSV files or folders.

cache      checked data as memory-mapped arrays
copies     equal images
csv/       reading CSV files
dataset    the data of a study
digits     bundled digits and MNIST
images/    reading image folders
kaggle     Kaggle's client
splits     which rows are trained on, which are held back
write      images in memory, and CSV files of them
"""
