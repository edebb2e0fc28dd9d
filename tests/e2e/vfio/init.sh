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

# One command a line, numbered. Answers end with a line of its own: the byte
# 0x1e, the number, the status. Commands run in this shell, so that it can wait
# for what one of them has left in the background.
exec 3<>/dev/ttyS1
stty raw -echo <&3
echo "init: ready" >&3
while read -r number command <&3; do
  eval "$command" >&3 2>&1 3>&- </dev/null
  printf '\036%s %s\n' "$number" "$?" >&3
done
