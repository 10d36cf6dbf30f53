# What is installed where, and the Debian package of it: cmake --build BUILD --target package
include(GNUInstallDirs)

set(programs)
foreach(program veetance veetance-fetch)
  if(TARGET ${program})
    list(APPEND programs ${program})
  endif()
endforeach()
install(TARGETS ${programs} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})

# The embedded models, without the pictures that show what they can do.
install(DIRECTORY models/ DESTINATION ${CMAKE_INSTALL_DATADIR}/veetance/models
  PATTERN "contact-sheet*" EXCLUDE)
install(FILES README.md CHANGELOG.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(PROGRAMS packaging/slurm/veetance-array DESTINATION ${CMAKE_INSTALL_DATADIR}/veetance/slurm)

# Manual pages and completions come from the programs' own help.
set(described ${CMAKE_BINARY_DIR}/described)
set(stamps)
foreach(program ${programs})
  add_custom_command(OUTPUT ${described}/${program}.stamp
    COMMAND ${CMAKE_SOURCE_DIR}/packaging/describe $<TARGET_FILE:${program}> ${described}
    COMMAND ${CMAKE_COMMAND} -E touch ${described}/${program}.stamp
    DEPENDS ${program} ${CMAKE_SOURCE_DIR}/packaging/describe
    COMMENT "Writing manual pages and completions of ${program}" VERBATIM)
  list(APPEND stamps ${described}/${program}.stamp)
endforeach()
add_custom_target(described ALL DEPENDS ${stamps})
install(DIRECTORY ${described}/man1 DESTINATION ${CMAKE_INSTALL_MANDIR})
install(DIRECTORY ${described}/bash/ DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(DIRECTORY ${described}/zsh/ DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions)
install(DIRECTORY ${described}/fish/ DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)

# The unit names the program by its path, which is known when it is installed.
install(CODE "
  set(VEETANCE_BINDIR \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}\")
  configure_file(\"${CMAKE_SOURCE_DIR}/packaging/systemd/veetance.service.in\"
    \"${CMAKE_BINARY_DIR}/veetance.service\" @ONLY)")
install(FILES ${CMAKE_BINARY_DIR}/veetance.service packaging/systemd/veetance.socket
  DESTINATION lib/systemd/user)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME veetance)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "Veetance contributors <contributors@veetance.invalid>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "make, edit and take apart images on this machine")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
  "Veetance Asset Editor runs FLUX.2-klein and Qwen-Image-Layered without a network.
It makes images from prompts, edits them, and takes them apart into RGBA
layers, on the processor or on graphics processors through Vulkan or CUDA.
Two miniature models come with it; veetance-fetch gets the full ones.")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION graphics)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# What is opened at run time is seen needed by no tool. Libraries of the base (base/late.cmake) are asked for in the
# version that was built with, or newer; others are recommended, and so are ggml's backends and oneDNN.
get_property(late GLOBAL PROPERTY VT_LATE_DEPENDS)
list(REMOVE_DUPLICATES late)
foreach(package ${late})
  execute_process(COMMAND dpkg-query -W -f=\${Version} ${package} OUTPUT_VARIABLE version)
  string(REGEX REPLACE "-[^-]*$" "" version ${version})
  list(APPEND depends "${package} (>= ${version})")
endforeach()
list(JOIN depends ", " CPACK_DEBIAN_PACKAGE_DEPENDS)
get_property(recommends GLOBAL PROPERTY VT_LATE_RECOMMENDS)
list(APPEND recommends libggml0-backend-vulkan ca-certificates)
list(JOIN recommends ", " CPACK_DEBIAN_PACKAGE_RECOMMENDS)
get_filename_component(dnnl_file ${DNNL_LIBRARY} REALPATH)
execute_process(COMMAND dpkg-query -S ${dnnl_file}
  OUTPUT_VARIABLE dnnl_owner ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
if(dnnl_owner MATCHES "^([a-z0-9.+-]+)[:,]")
  string(APPEND CPACK_DEBIAN_PACKAGE_RECOMMENDS ", ${CMAKE_MATCH_1}")
endif()
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
include(CPack)
