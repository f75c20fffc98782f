#!/usr/bin/env bash
# Write FILE as the one comment of bench on pull request NUMBER: anew, or over the last one.
set -euo pipefail
file=$1 number=$2
mark='<!-- trainpairs -->'
most=60000  # bytes; a comment holds 65,536 characters

[ -f "$file" ] || exit 0
if [[ ! $number =~ ^[0-9]+$ ]]; then  # an artifact of a fork may say anything
  echo "::error::\"$number\" is no number of a pull request"
  exit 1
fi
body=$(mktemp)
{ echo "$mark"; head -c "$most" "$file" | iconv -c -f utf-8 -t utf-8; } > "$body"
[ "$(wc -c < "$file")" -le "$most" ] || printf '\n\n(cut off; the artifact has all of it)\n' >> "$body"
comments="repos/$GITHUB_REPOSITORY/issues/$number/comments"
known=$(gh api --paginate "$comments" --jq ".[] | select(.body | startswith(\"$mark\")) | .id" | head -n 1)
if [ -n "$known" ]; then
  gh api --silent --method PATCH "repos/$GITHUB_REPOSITORY/issues/comments/$known" -F "body=@$body"
else
  gh api --silent --method POST "$comments" -F "body=@$body"
fi
