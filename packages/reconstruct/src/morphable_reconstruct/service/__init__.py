"""HTTP: POST a picture, get JSON or GLB."""
