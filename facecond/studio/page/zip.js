// zip
