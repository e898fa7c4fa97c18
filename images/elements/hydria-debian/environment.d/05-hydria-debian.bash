# shellcheck shell=bash
export DIB_GRUB_TIMEOUT=${DIB_GRUB_TIMEOUT:-0}
# Interfaces are called eth0, eth1, … by everybody who has to do with amphorae.
export DIB_BOOTLOADER_DEFAULT_CMDLINE=${DIB_BOOTLOADER_DEFAULT_CMDLINE:-"nofb nomodeset gfxpayload=text net.ifnames=0 quiet"}
export DIB_DEBOOTSTRAP_DEFAULT_LOCALE=${DIB_DEBOOTSTRAP_DEFAULT_LOCALE:-C.UTF-8}
# The management network's interfaces are systemd-networkd's.
export DIB_APT_MINIMAL_CREATE_INTERFACES=0
