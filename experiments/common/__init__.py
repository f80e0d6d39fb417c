"""What the scripts share: command line, data sets, training that can be resumed, reports."""
