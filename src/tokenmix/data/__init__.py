"""The data: manifest, fetching, preparation into mapped arrays, phantoms, batches on the device."""
