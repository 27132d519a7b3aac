# The first process of a user-mode Linux, whose root file system is the host's, read-only. It mounts the disks, runs a
# Deno program, and ends. Arguments: the deno executable, the program, its argument, FILE_SYSTEM:NAME for each disk.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/mnt DENO_DIR=/mnt/deno NO_COLOR=1 DENO_NO_UPDATE_CHECK=1
mount -t proc proc /proc
mount -t tmpfs tmpfs /mnt
deno=$1 program=$2 argument=$3
shift 3
modules=/usr/lib/uml/modules/$(uname -r)/kernel/fs
disk=a
for each; do
  # The kernel may add arguments of its own.
  case $each in *:*) ;; *) continue ;; esac
  if [ "${each%:*}" = vfat ]; then
    for module in fat/fat fat/vfat nls/nls_cp437 nls/nls_iso8859-1 nls/nls_ascii nls/nls_utf8; do insmod "$modules/$module.ko"; done
  fi
  mkdir "/mnt/${each#*:}"
  mount -t "${each%:*}" "/dev/ubd$disk" "/mnt/${each#*:}"
  disk=$(echo "$disk" | tr abcd bcde)
done
"$deno" run --quiet --allow-all --no-config --no-lock --no-prompt "$program" "$argument"
echo "Ended with $?"
echo o > /proc/sysrq-trigger
sleep 60
