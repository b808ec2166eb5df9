set(PLUGIN_LIBRARIES PkgConfig::GMIME PkgConfig::IDN)
