################################################################################
#
# sandlock
#
################################################################################

SANDLOCK_VERSION = 0.1
SANDLOCK_SITE = $(TOPDIR)/../sandlock
SANDLOCK_SITE_METHOD = local
SANDLOCK_LICENSE = MIT
SANDLOCK_LICENSE_FILES = LICENSE

define SANDLOCK_BUILD_CMDS
	cd $(@D) && CC="$(TARGET_CC)" CFLAGS="-Os" ./build.sh $(BR2_ARCH)
endef

define SANDLOCK_INSTALL_TARGET_CMDS
	$(INSTALL) -D -m 0755 $(@D)/build/sandlock-$(BR2_ARCH) $(TARGET_DIR)/usr/bin/sandlock
endef

$(eval $(generic-package))
