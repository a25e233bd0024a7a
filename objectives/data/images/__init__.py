"""Read folders of image files as arrays.

decode       decodes one image file to brightness
files        finds image files below a folder
folder       reads an image folder as arrays
tree         decides which folder is train, test or a class
"""
