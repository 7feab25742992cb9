"""Everything that needs Keras or TensorFlow; nothing outside this folder imports them."""
