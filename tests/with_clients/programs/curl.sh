# curl, as the README uses it: statuses, the end of a stream, and the header to wait by.
ask() { # key, more members of the body, more options
  curl -s "$BASE_URL/chat/completions" -H "Authorization: Bearer $1" -H "Content-Type: application/json" \
    -d '{"model": "talker", "messages": [{"role": "user", "content": "Hi"}]'"$2"'}' $3 $4 $5
}
status() { ask "$1" "$2" -o /dev/null -w%{http_code}; }
printf '{"answer": %s, "stream": %s, "done": %s, "key": %s, "limit": %s, "waits": %s}\n' \
  "$(status "$API_KEY" "")" \
  "$(status "$API_KEY" ', "stream": true')" \
  "$(ask "$API_KEY" ', "stream": true' -N | grep -c '^data: \[DONE\]')" \
  "$(status tnt_wrong "")" \
  "$(status "$LIMITED_KEY" "")" \
  "$(ask "$LIMITED_KEY" "" -i | grep -ci '^retry-after: [0-9]')"
