# Make this mount namespace look like a machine on which nothing is installed yet, then run commands
# that arrive at the pipe $ROOM/commands, each a file to source, and write their status to $ROOM/results.
set -e
mount --make-rprivate /
ip link set lo up

# Copy a directory: changes stay in this namespace.
copied() {
  mkdir -p "$ROOM/copy$1"
  cp -a "$1/." "$ROOM/copy$1"
  mount --bind "$ROOM/copy$1" "$1"
}
# Replace a directory by an empty one in which its entries appear at their paths; new entries stay here.
opened() {
  mkdir -p "$ROOM/real$1"
  mount --rbind "$1" "$ROOM/real$1"
  mount -t tmpfs -o mode=755 tmpfs "$1"
  local entry
  for entry in "$ROOM/real$1"/*; do
    if [ -L "$entry" ]; then cp -a "$entry" "$1/"
    elif [ -d "$entry" ]; then mkdir "$1/${entry##*/}" && mount --rbind "$entry" "$1/${entry##*/}"
    elif [ -f "$entry" ]; then : >"$1/${entry##*/}" && mount --bind "$entry" "$1/${entry##*/}"
    fi
  done
}
copied /etc
opened /opt
opened /usr/local/bin
for directory in /run /var/log /var/lib/nginx /var/lib/caddy; do
  [ ! -d "$directory" ] || mount -t tmpfs -o mode=755 tmpfs "$directory"
done
mkdir -p /run/lock /var/log/nginx
echo '127.0.0.1 localhost auth.example.com app.example.com' >/etc/hosts

cd "$HOME"
set +e -m
exec 8<"$ROOM/commands" 9>"$ROOM/results"
while read -r file <&8; do
  . "$file" 8<&- 9>&-
  echo $? >&9
done
