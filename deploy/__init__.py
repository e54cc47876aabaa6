"""What runs it elsewhere: image, compose file, manifests, dashboards. `make deploy-files` makes some of them."""
