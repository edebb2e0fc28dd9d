#!/bin/sh
# The guest's only process but for sluiced: mounts what is needed, loads the
# modules, then does what the test says over the second serial line.
/bin/busybox --install -s /bin
export PATH=/bin HOME=/root
# DPDK loads no driver from under a folder that everybody may write to.
chmod 755 /
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/hugepages
mount -t hugetlbfs hugetlbfs /dev/hugepages
ulimit -l unlimited
while read -r module; do
  insmod "/modules/$module" || echo "init: $module is not loaded"
done </modules/order

# A command is a line "NUMBER LENGTH COMMAND". Under load the emulated UART may
# lose what it receives: a line that is not as long as it says is passed over,
# one that is whole is confirmed by the byte 0x06 and its number, and one that
# came before (its confirmation was late) is not run again. Answers end with a
# line of their own: the byte 0x1e, the number, the status. Commands run in this
# shell, so that it can wait for what one of them has left in the background.
exec 3<>/dev/ttyS1
stty raw -echo <&3
echo "init: ready" >&3
last=0
while read -r number length command <&3; do
  [ "$length" = "${#command}" ] || continue
  printf '\006%s\n' "$number" >&3
  [ "$number" != "$last" ] || continue
  last=$number
  eval "$command" >&3 2>&1 3>&- </dev/null
  printf '\036%s %s\n' "$number" "$?" >&3
done
