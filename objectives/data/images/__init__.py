"""Reading folders of image files.

decode       one image file as brightness
files        which files are images
folder       folders as arrays
tree         which folder is train, test or a class
"""
