#!/bin/sh
# Makes the secrets that compose.yaml mounts, in docker/secrets; those that are there stay.
# The folder is closed; its files can be read, because each container has a user of its own.
set -eu
umask 022
folder="$(cd "$(dirname "$0")" && pwd)/secrets"
mkdir -p "$folder"
chmod 700 "$folder"

random() {
	head -c "$1" /dev/urandom | base64 | tr -d '\n'
}

letters() {
	random 96 | tr -dc 'A-Za-z0-9' | cut -c "1-$1"
}

keep() {
	if [ ! -s "$folder/$1" ]; then
		printf '%s' "$2" > "$folder/$1"
		echo "made $1"
	fi
}

public_half() {
	printf '\001'
	openssl pkey -in "$folder/ledger_key" -pubout -outform DER | tail -c 32
}

# The ledgers' public key with a name for ever: name, id and key (c2sp.org/signed-note).
verifier_key() {
	site="$(sed -n 's/^SITE=//p' "$folder/../.env" 2>/dev/null || true)"
	name="${site:-foedus-$(letters 12)}"
	id="$({ printf '%s\n' "$name"; public_half; } | openssl dgst -sha256 -binary | head -c 4 | od -An -tx1)"
	printf '%s+%s+%s' "$name" "$(printf '%s' "$id" | tr -d ' \n')" "$(public_half | base64 | tr -d '\n')"
}

keep secret_key "$(letters 64)"
keep signing_key "$(random 32)"
keep model_signing_key "$(openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256)"
keep ledger_key "$(openssl genpkey -algorithm ED25519)"
keep ledger_verifier_key "$(verifier_key)"
keep metrics_token "$(letters 40)"
keep postgres_password "$(letters 40)"
keep database_owner_url "postgres://foedus:$(cat "$folder/postgres_password")@postgres:5432/foedus"
keep database_url "postgres://foedus_hub:$(letters 40)@postgres:5432/foedus"
keep s3_key "$(letters 20)"
keep s3_secret "$(letters 40)"
keep s3_credentials "[default]
aws_access_key_id = $(cat "$folder/s3_key")
aws_secret_access_key = $(cat "$folder/s3_secret")
"
keep s3_identities.json "{\"identities\": [{\"name\": \"foedus\",
 \"credentials\": [{\"accessKey\": \"$(cat "$folder/s3_key")\", \"secretKey\": \"$(cat "$folder/s3_secret")\"}],
 \"actions\": [\"Admin\", \"Read\", \"Write\", \"List\"]}]}
"
