# What `cmake --install` puts on a system: programs, plugins (plugins/CMakeLists.txt), the SDK (public headers, parley.pc, the CMake
# package Parley), the commented configuration, a hardened systemd unit, man pages and completions made by parley itself.
set(PARLEY_BINDIR ${CMAKE_INSTALL_FULL_BINDIR})
set(PARLEY_SYSCONFDIR ${CMAKE_INSTALL_FULL_SYSCONFDIR})
configure_file(contrib/systemd/parleyd.service.in ${CMAKE_BINARY_DIR}/parleyd.service @ONLY)
set(PARLEY_PLUGIN_PLACE lib/parley/plugins) # plugins/CMakeLists.txt puts them there
set(PARLEY_PLUGINDIR ${CMAKE_INSTALL_PREFIX}/${PARLEY_PLUGIN_PLACE})

# The SDK holds nothing of one machine's: share/, not lib/.
set(PARLEY_SDKDIR ${CMAKE_INSTALL_DATADIR}/cmake/Parley)
configure_file(contrib/parley.pc.in ${CMAKE_BINARY_DIR}/parley.pc @ONLY)
include(CMakePackageConfigHelpers)
configure_package_config_file(cmake/sdk/ParleyConfig.cmake.in ${CMAKE_BINARY_DIR}/ParleyConfig.cmake
  INSTALL_DESTINATION ${PARLEY_SDKDIR} PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_BINDIR PARLEY_PLUGIN_PLACE)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/ParleyConfigVersion.cmake COMPATIBILITY AnyNewerVersion ARCH_INDEPENDENT)

set(made ${CMAKE_BINARY_DIR}/made)
file(MAKE_DIRECTORY ${made})
add_custom_command(OUTPUT ${made}/parley.1 ${made}/parleyd.8 ${made}/parley.bash ${made}/parley.fish
  COMMAND parley manpage > ${made}/parley.1
  COMMAND parley manpage parleyd > ${made}/parleyd.8
  COMMAND parley completion bash > ${made}/parley.bash
  COMMAND parley completion fish > ${made}/parley.fish
  DEPENDS parley VERBATIM)
add_custom_target(parley_manual ALL DEPENDS ${made}/parley.1)

install(TARGETS parleyd parley parley-plugin-host RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS parley-phone LIBRARY DESTINATION lib/parley)
install(DIRECTORY include/parley DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
# The example that is installed fits the unit: its plugins, and systemd's folder for what must last.
file(READ conf/parley.yaml example)
string(REPLACE "/usr/lib/parley/plugins" "${PARLEY_PLUGINDIR}" example "${example}")
string(REPLACE "path: parley.db" "path: /var/lib/parley/parley.db" example "${example}")
file(WRITE ${CMAKE_BINARY_DIR}/parley.yaml "${example}")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS conf/parley.yaml)
install(FILES ${CMAKE_BINARY_DIR}/parley.yaml DESTINATION ${CMAKE_INSTALL_DATADIR}/parley)
install(DIRECTORY conf/gateways DESTINATION ${CMAKE_INSTALL_DATADIR}/parley)
install(FILES ${CMAKE_BINARY_DIR}/parleyd.service DESTINATION lib/systemd/system) # relative: it follows --prefix
install(FILES ${CMAKE_BINARY_DIR}/parley.pc DESTINATION ${CMAKE_INSTALL_DATADIR}/pkgconfig)
install(FILES ${CMAKE_BINARY_DIR}/ParleyConfig.cmake ${CMAKE_BINARY_DIR}/ParleyConfigVersion.cmake
  cmake/sdk/ParleyPlugin.cmake cmake/sdk/plugin.map DESTINATION ${PARLEY_SDKDIR})
install(FILES docs/plugins.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES ${made}/parley.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${made}/parleyd.8 DESTINATION ${CMAKE_INSTALL_MANDIR}/man8)
install(FILES ${made}/parley.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME parley)
install(FILES ${made}/parley.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
