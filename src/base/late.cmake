# vt_late(SOURCE RELATION PREFIX NAME...): src/SOURCE stands for the libraries NAME..., the first of which is opened when
# it is needed and brings the others (late.h). pkg-config found them as PREFIX. VT_LATE_DEPENDS and VT_LATE_RECOMMENDS,
# as RELATION says: the packages that have them, for the Debian package. vt_late_whole: the libraries themselves, for tests that call more of them.
string(REGEX MATCH "x86_64|AMD64" VT_LATE ${CMAKE_SYSTEM_PROCESSOR}) # others are linked as usual: late.h has no stub
add_library(vt_late_whole INTERFACE)
target_link_options(vt_late_whole INTERFACE -Wl,--as-needed)

# The name by which programs ask for the shared library `file`.
function(vt_soname file out)
  execute_process(COMMAND ${CMAKE_OBJDUMP} -p ${file} OUTPUT_VARIABLE headers)
  if(NOT headers MATCHES "SONAME +([^ \n]+)")
    message(FATAL_ERROR "${file} is no shared library with a name")
  endif()
  set(${out} ${CMAKE_MATCH_1} PARENT_SCOPE)
endfunction()

function(vt_late source relation prefix name)
  string(REGEX REPLACE "/.*" "" folder ${source})
  if(NOT TARGET vt_${folder})
    return()
  endif()
  target_include_directories(vt_${folder} SYSTEM PUBLIC ${${prefix}_INCLUDE_DIRS})
  foreach(library ${name} ${ARGN})
    find_library(VT_LATE_${library} ${library} HINTS ${${prefix}_LIBRARY_DIRS} REQUIRED)
    target_link_libraries(vt_late_whole INTERFACE ${VT_LATE_${library}})
    if(NOT VT_LATE)
      target_link_libraries(vt_${folder} PUBLIC ${VT_LATE_${library}})
    endif()
  endforeach()
  get_filename_component(file ${VT_LATE_${name}} REALPATH)
  get_filename_component(dir ${VT_LATE_${name}} DIRECTORY)
  if(NOT dir IN_LIST CMAKE_C_IMPLICIT_LINK_DIRECTORIES) # dlopen looks where the program says
    target_link_options(vt_${folder} INTERFACE -Wl,-rpath,${dir})
  endif()
  vt_soname(${file} soname)
  set(package ${name}) # where dpkg knows nothing
  execute_process(COMMAND dpkg-query -S ${file}
    OUTPUT_VARIABLE owner ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(owner MATCHES "^([a-z0-9.+-]+)[:,]")
    set(package ${CMAKE_MATCH_1})
    set_property(GLOBAL APPEND PROPERTY VT_LATE_${relation} ${package})
  endif()
  set_property(SOURCE src/${source} APPEND PROPERTY COMPILE_DEFINITIONS
    LATE_FILE="${soname}" LATE_PACKAGE="${package}")
endfunction()
