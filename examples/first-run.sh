#!/bin/sh
# first-run.sh - installs what is missing, builds Parley and shows its main job on this machine alone: `sh examples/first-run.sh`.
#
# usage: examples/first-run.sh [--stay]     --stay leaves the daemon running and prints three commands to try
# Everything happens on loopback and in a temporary folder that is removed at the end; nothing leaves the machine.
set -eu
cd "$(dirname -- "$0")/.."
top=$PWD
stay=
[ "${1:-}" != --stay ] || stay=yes

echo "== Setting up"
sh contrib/bootstrap.sh build demo
cmake --preset release >/dev/null
cmake --build build/release --target product
bin=$top/build/release/bin

dir=$(mktemp -d "${TMPDIR:-/tmp}/parley-first-run.XXXXXX")
pids=
clean_up()
{
  for pid in $pids; do kill "$pid" 2>/dev/null || true; done
  for pid in $pids; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

free_port()
{
  /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# gone PID: waits for the end of a child and forgets it.
gone()
{
  wait "$1" 2>/dev/null || true
  pids=$(echo "$pids" | sed "s/ $1\\b//")
}

# wait_for WHAT COMMAND...: polls until the command succeeds, 20 s at most.
wait_for()
{
  what=$1
  shift
  tries=0
  until "$@" >/dev/null 2>&1; do
    tries=$((tries + 1))
    if [ "$tries" -gt 200 ]; then
      echo "first-run: waited 20 s for $what" >&2
      tail -n 20 "$dir"/*.log >&2
      exit 1
    fi
    sleep 0.1
  done
}

start_daemon()
{
  TMPDIR=$dir "$bin/parleyd" -c "$dir/parley.yaml" >>"$dir/parleyd.log" 2>&1 &
  daemon=$!
  pids="$pids $daemon"
  wait_for "parleyd" curl -fsS "$api/readyz"
}

start_mail()
{
  /usr/bin/python3 examples/mail_sink.py "$smtp" >>"$dir/mail.log" 2>&1 &
  mail=$!
  pids="$pids $mail"
  wait_for "the mail server" /usr/bin/python3 -c "import socket; socket.create_connection(('127.0.0.1', $smtp), 1)"
}

# call METHOD PATH [BODY] [HEADER]: one API call, the answer on stdout.
call()
{
  if [ -n "${3:-}" ]; then
    curl -sS -X "$1" "$api$2" -H "Authorization: Bearer $PARLEY_KEY" -H 'Content-Type: application/json' ${4:+-H "$4"} -d "$3"
  else
    curl -sS -X "$1" "$api$2" -H "Authorization: Bearer $PARLEY_KEY"
  fi
}

# Picks a value out of JSON on stdin: field items.0.id
field()
{
  /usr/bin/python3 -c '
import functools, json, sys
print(functools.reduce(lambda v, k: v[int(k)] if k.isdigit() else v[k], sys.argv[1].split("."), json.load(sys.stdin)))' "$1"
}

show()
{
  /usr/bin/python3 -m json.tool --no-ensure-ascii --indent 2 | sed 's/^/   /'
}

smtp=$(free_port)
support=$(free_port)
port=$(free_port)
api=http://127.0.0.1:$port
PARLEY_KEY=$(openssl rand -hex 24)
FEED_SECRET=whsec_$(openssl rand -base64 32)
CHAT_SECRET=whsec_$(openssl rand -base64 32)
export PARLEY_KEY FEED_SECRET CHAT_SECRET
(umask 077 && printf 'export %s\n' "PARLEY_KEY=$PARLEY_KEY" "FEED_SECRET=$FEED_SECRET" "CHAT_SECRET=$CHAT_SECRET" "PATH=\"$bin:\$PATH\"" >"$dir/env")

cat >"$dir/parley.yaml" <<YAML
version: 1
server:
  listen: 127.0.0.1:$port
  keys: [ { name: shop, secret: { env: PARLEY_KEY }, scopes: [admin] } ]
  egress: { allow: [127.0.0.0/8], ports: ["1-65535"] }
store: { driver: sqlite, path: parley.db }
plugins: { dirs: [$top/build/release/plugins] }
channels:
  mail: { plugin: email, options: { smtp: "smtp://127.0.0.1:$smtp", from: "Shop <orders@shop.example>" } }
  chat: { plugin: webhook, options: { url: "http://127.0.0.1:$support/chat", secret: { env: CHAT_SECRET } } }
topics: { orders: { class: transactional }, support: { class: conversation } }
plans: { default: [ { channel: mail } ] }
subscriptions:
  helpdesk: { url: "http://127.0.0.1:$support/feed", secret: { env: FEED_SECRET }, types: [message.received] }
YAML

/usr/bin/python3 examples/support_system.py "$support" "$FEED_SECRET" "$CHAT_SECRET" >>"$dir/support.log" 2>&1 &
pids="$pids $!"
start_mail
start_daemon

echo
echo "== 1. The shop sends an order confirmation over HTTP; 202 means: stored and flushed"
order='{"to":{"external":"shop-77","email":"ana@example.org"},"topic":"orders","key":"order-1042",
 "content":{"subject":"Order 1042","text":"Thank you, Ana. Order 1042 is on its way."}}'
call POST /v1/messages "$order" 'Idempotency-Key: order-1042-confirmation' >"$dir/accepted.json"
show <"$dir/accepted.json"
customer=$(field customer <"$dir/accepted.json")

echo "== 2. An independent SMTP server received it"
wait_for "the mail" grep -q 'Order 1042' "$dir/mail.log"
show <"$dir/mail.log"

echo "== 3. The customer answers, on another channel; the support system gets it signed, with the order in \`recent\`"
answer='{"id":"chat-1","from":{"email":"ana@example.org"},"text":"Where is my parcel?"}'
now=$(date +%s)
key_hex=$(printf %s "${CHAT_SECRET#whsec_}" | openssl base64 -d -A | od -An -tx1 | tr -d ' \n')
signature=$(printf '%s.%s.%s' chat-1 "$now" "$answer" | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key_hex" -binary | openssl base64 -A)
curl -sS "$api/in/chat" -H 'Content-Type: application/json' -H 'webhook-id: chat-1' -H "webhook-timestamp: $now" \
  -H "webhook-signature: v1,$signature" -d "$answer" | show
wait_for "the support webhook" grep -q 'Where is my parcel' "$dir/support.log"
grep 'Where is my parcel' "$dir/support.log" | head -n 1 >"$dir/feed.json"
/usr/bin/python3 - "$dir/feed.json" <<'PYTHON'
import json, sys
event = json.load(open(sys.argv[1]))["body"]
print(f"   {event['id']}  {event['type']}  (signature verified)")
print(f"   message  {event['data']['message']['channel']}: {event['data']['message']['content']['text']}")
for entry in event["data"]["recent"]:
    message = entry["message"]
    print(f"   recent   {entry['at']}  {message['channel']}  {message['status']}  {message['content']['text']}")
PYTHON

echo "== 4. Support replies; it leaves on the channel that the customer used last"
conversation=$(field body.data.conversation.id <"$dir/feed.json")
call POST "/v1/conversations/$conversation/replies" '{"content":{"text":"It left this morning, Ana."}}' | show
wait_for "the reply" grep -q 'It left this morning' "$dir/support.log"

echo "== 5. The same request again: the first answer, and nothing is sent"
curl -sS -D "$dir/headers" -o "$dir/again.json" "$api/v1/messages" -H "Authorization: Bearer $PARLEY_KEY" \
  -H 'Content-Type: application/json' -H 'Idempotency-Key: order-1042-confirmation' -d "$order"
grep -i '^idempotency-replayed' "$dir/headers" | sed 's/^/   /'
cmp "$dir/accepted.json" "$dir/again.json"

echo "== 6. The mail server is away, the daemon is killed (kill -9) and started again: the queued message goes out"
kill "$mail"
gone "$mail"
call POST /v1/messages '{"to":{"customer":"'"$customer"'"},"topic":"orders",
 "content":{"subject":"Order 1042 delivered","text":"Your parcel is at the door."}}' | field status | sed 's/^/   /'
kill -9 "$daemon"
gone "$daemon"
start_mail
start_daemon
wait_for "the message that waited" grep -q 'at the door' "$dir/mail.log"
tail -n 1 "$dir/mail.log" | show
[ "$(grep -c '"Order 1042"' "$dir/mail.log")" = 1 ] || { echo "first-run: the confirmation was sent twice" >&2; exit 1; }

echo "== 7. One timeline over all channels, newest first"
"$bin/parley" --url "$api" customer timeline "$customer" | sed 's/^/   /'

if [ -n "$stay" ]; then
  trap - EXIT INT TERM
  echo
  echo "The daemon runs on (pid $daemon). Try:"
  echo "  cd $dir && . ./env            # its key and secrets, and the way to its programs"
  echo "  parley -c parley.yaml send --to email:ben@example.org --topic orders --text 'Hello, Ben'"
  echo "  parley -c parley.yaml tail"
  echo "  parley -c parley.yaml customer timeline external:shop-77"
  echo "  parley -c parley.yaml doctor"
  echo "The same on PostgreSQL, in an empty database: stop the daemon, change one line of parley.yaml, start it again:"
  echo "  kill $daemon; export PARLEY_DATABASE_URL=postgresql://parley:...@127.0.0.1/parley"
  echo "  store: { driver: postgres, url: { env: PARLEY_DATABASE_URL } }"
  echo "  parleyd -c parley.yaml &      # before it, parley store copy takes what is there with it: docs/operations.md"
  echo "Stop it and the two servers that it talks to: kill$pids; rm -r $dir"
else
  echo
  echo "Done. Everything above ran on loopback and is gone now; sh examples/first-run.sh --stay leaves it running."
fi
