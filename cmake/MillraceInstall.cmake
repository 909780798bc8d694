# What `cmake --install` gives beside the programs: the client library, the broker as a library, their headers, and how
# find_package(millrace) and pkg-config find them. The internal static libraries come along, since ours are static.
include(CMakePackageConfigHelpers)

set(millrace_client_parts millrace_client millrace_schemas millrace_format millrace_base millrace_compile)
set(millrace_broker_parts millrace_broker millrace_wire millrace_broker_core millrace_storage millrace_io)
foreach(part ${millrace_client_parts} ${millrace_broker_parts})
  if(NOT TARGET ${part})
    message(FATAL_ERROR "the package needs ${part}, which is not built")
  endif()
  get_target_property(export_name ${part} EXPORT_NAME)
  if(NOT export_name)
    string(REPLACE millrace_ "" export_name ${part})
    set_target_properties(${part} PROPERTIES EXPORT_NAME ${export_name})
  endif()
endforeach()

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/millrace)
install(TARGETS ${millrace_client_parts} ${millrace_broker_parts} EXPORT millraceTargets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT millraceTargets NAMESPACE millrace:: DESTINATION ${package_dir})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/client/include/millrace DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/millraceConfig.cmake.in
  ${PROJECT_BINARY_DIR}/millraceConfig.cmake INSTALL_DESTINATION ${package_dir})
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/millraceConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/millraceConfig.cmake ${PROJECT_BINARY_DIR}/millraceConfigVersion.cmake
        DESTINATION ${package_dir})

# pkg-config takes the prefix from where the file lies, so an installation can be moved.
file(RELATIVE_PATH MILLRACE_PC_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
foreach(package millrace millrace-broker)
  configure_file(${PROJECT_SOURCE_DIR}/cmake/${package}.pc.in ${PROJECT_BINARY_DIR}/${package}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/${package}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()
