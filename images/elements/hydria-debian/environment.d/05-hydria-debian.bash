# shellcheck shell=bash
# /var/log has a partition of its own: whatever is logged, the load balancers' own files always find room.
export DIB_BLOCK_DEVICE_CONFIG=${DIB_BLOCK_DEVICE_CONFIG:-'
- local_loop:
    name: image0
- partitioning:
    base: image0
    label: mbr
    partitions:
      - name: log
        flags: [primary]
        size: 192MiB
        mkfs:
          type: ext4
          opts: "-m 0"
          mount:
            mount_point: /var/log
            fstab:
              options: "nodev,nosuid,noexec,noatime"
              fsck-passno: 2
      - name: root
        flags: [boot, primary]
        size: 100%
        mkfs:
          type: ext4
          opts: "-O encrypt"
          mount:
            mount_point: /
            fstab:
              options: "noatime,errors=remount-ro"
              fsck-passno: 1
'}
export DIB_GRUB_TIMEOUT=${DIB_GRUB_TIMEOUT:-0}
# Interfaces are called eth0, eth1, … by everybody who has to do with amphorae.
export DIB_BOOTLOADER_DEFAULT_CMDLINE=${DIB_BOOTLOADER_DEFAULT_CMDLINE:-"nofb nomodeset gfxpayload=text net.ifnames=0 quiet"}
export DIB_DEBOOTSTRAP_DEFAULT_LOCALE=${DIB_DEBOOTSTRAP_DEFAULT_LOCALE:-C.UTF-8}
# The management network's interfaces are systemd-networkd's.
export DIB_APT_MINIMAL_CREATE_INTERFACES=0
