#!/usr/bin/env bash
# Packs the static program as an OCI image, FROM scratch, without a daemon.   oci-image.sh PROGRAM IMAGE.tar
# `podman load -i`, `skopeo copy oci-archive:` and `ctr images import` read the result; in a cluster it serves
# `kubectl debug --image`. Same program, same bytes.
set -euo pipefail

program=$(realpath "$1")
image=$(realpath -m "$2")
[ ! -e "$image" ] || { echo "oci-image: $image exists" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 022

# Makes an archive that depends only on names and contents.
pack() {
	tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 --format=ustar -C "$1" -cf - .
}

# Stores standard input as a blob; prints its descriptor.
add_blob() {
	local type=$1 digest
	cat >"$work/blob"
	digest=$(sha256sum "$work/blob" | cut -d' ' -f1)
	jq -cn --arg type "$type" --arg digest "sha256:$digest" --argjson size "$(stat -c %s "$work/blob")" \
		'{mediaType: $type, digest: $digest, size: $size}'
	mv "$work/blob" "$work/image/blobs/sha256/$digest"
}

mkdir -p "$work/root/usr/bin" "$work/root/tmp" "$work/image/blobs/sha256"
chmod 1777 "$work/root/tmp"
install -m 0755 "$program" "$work/root/usr/bin/leakhunt"
pack "$work/root" >"$work/layer.tar"
layer=$(gzip -9n <"$work/layer.tar" | add_blob application/vnd.oci.image.layer.v1.tar+gzip)
config=$(jq -cn --arg diff "sha256:$(sha256sum "$work/layer.tar" | cut -d' ' -f1)" '{
	architecture: "amd64", os: "linux",
	config: {Entrypoint: ["/usr/bin/leakhunt"], Cmd: ["--help"], Env: ["PATH=/usr/bin"], WorkingDir: "/tmp"},
	rootfs: {type: "layers", diff_ids: [$diff]}}' | add_blob application/vnd.oci.image.config.v1+json)
manifest=$(jq -cn --argjson config "$config" --argjson layer "$layer" '{
	schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json", config: $config, layers: [$layer]}' |
	add_blob application/vnd.oci.image.manifest.v1+json)
jq -cn '{imageLayoutVersion: "1.0.0"}' >"$work/image/oci-layout"
jq -cn --argjson manifest "$manifest" '{schemaVersion: 2, manifests: [
	$manifest + {annotations: {"org.opencontainers.image.ref.name": "leakhunt"}}]}' >"$work/image/index.json"
pack "$work/image" >"$image"
echo "$image"
