# What `cmake --install` lays out: the headers, the CMake package (find_package(resnet)) and resnet.pc for pkg-config.
# All of it is text, relocatable and the same for every architecture, hence share/.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)
set(package_dir ${CMAKE_INSTALL_DATADIR}/cmake/resnet)

install(TARGETS resnet EXPORT resnetTargets FILE_SET HEADERS FILE_SET bodies)
install(TARGETS resnet_io resnet_image EXPORT resnetTargets FILE_SET HEADERS)
install(EXPORT resnetTargets NAMESPACE resnet:: DESTINATION ${package_dir})

configure_package_config_file(cmake/resnetConfig.cmake.in resnetConfig.cmake INSTALL_DESTINATION ${package_dir}
                              NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(resnetConfigVersion.cmake COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/resnetConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/resnetConfigVersion.cmake
              cmake/FindStb.cmake
        DESTINATION ${package_dir})

if(IS_ABSOLUTE "${CMAKE_INSTALL_DATADIR}" OR IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")  # what is absolute stays where it is
    set(pc_prefix ${CMAKE_INSTALL_PREFIX})
    set(pc_includedir ${CMAKE_INSTALL_FULL_INCLUDEDIR})
else()
    file(RELATIVE_PATH prefix_from_pc /${CMAKE_INSTALL_DATADIR}/pkgconfig /)
    set(pc_prefix "\${pcfiledir}/${prefix_from_pc}")
    set(pc_includedir "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
endif()
configure_file(cmake/resnet.pc.in resnet.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/resnet.pc DESTINATION ${CMAKE_INSTALL_DATADIR}/pkgconfig)
