#!/bin/sh
# Verifies one signed domain message of either generation with openssl alone, as a receiver of anybody's would.
#
#   verify_message.sh MESSAGE RECORDS
#
# MESSAGE is a file with the message as it was posted, RECORDS one with lines of a zone file, as `facescan dns print`
# writes them. Exit code 0: it verifies; 1: it does not, and why; 2: it cannot be told.
set -eu
LC_ALL=C
export LC_ALL
here=$(dirname "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fails() { echo "$1" >&2; exit 1; }

awk -v out="$work/canonical" -f "$here/canonical.awk" "$1" >"$work/members"
{ read -r hash; read -r signature; read -r name; } <"$work/members"

# Hash: SHA-256 of the canonical bytes, in hex.
[ "$(openssl dgst -sha256 -r <"$work/canonical" | cut -d' ' -f1)" = "$hash" ] || fails "Hash is not of these bytes"

# The record: the strings of one TXT record, joined.
record=$(awk -v name="$name." '$1 == name && /TXT/ {
    line = ""; n = split($0, part, "\""); for (i = 2; i <= n; i += 2) line = line part[i]; print line }' "$2")
[ -n "$record" ] || fails "no record $name"
key=$(printf '%s' "$record" | tr ';' '\n' | sed -n 's/^ *p=//p')
[ -n "$key" ] || fails "the key at $name is revoked"

printf '%s' "$signature" | openssl base64 -d -A >"$work/signature"
case $record in
*k=ed25519*)
    # What stands before the 32 bytes in a SubjectPublicKeyInfo (RFC 8410 §4).
    { printf '\060\052\060\005\006\003\053\145\160\003\041\000'; printf '%s' "$key" | openssl base64 -d -A; } >"$work/key"
    openssl pkeyutl -verify -pubin -keyform DER -inkey "$work/key" -rawin -in "$work/canonical" \
        -sigfile "$work/signature" >/dev/null 2>&1 || fails "the signature is not by the key at $name"
    ;;
*)
    printf '%s' "$key" | openssl base64 -d -A >"$work/key.der"
    openssl pkey -pubin -inform DER -in "$work/key.der" -out "$work/key" 2>/dev/null || fails "no RSA key at $name"
    openssl dgst -sha256 -verify "$work/key" -signature "$work/signature" "$work/canonical" >/dev/null 2>&1 \
        || fails "the signature is not by the key at $name"
    ;;
esac
echo verified
