# Debian packages, each for what design and README name. llhttp has no package of its own on Debian 12: the C sources of
# node-llhttp are compiled here in strict mode; Debian 13's libllhttp-dev is taken where it is found.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
foreach(pair "UV libuv" "CURL libcurl" "JANSSON jansson" "OPENSSL openssl" "SQLITE sqlite3" "YAML yaml-0.1" "CARES libcares"
             "IDN libidn2" "GUMBO gumbo" "GMIME gmime-3.0" "SECCOMP libseccomp" "POSTGRES libpq")
  string(REPLACE " " ";" pair ${pair})
  list(GET pair 0 name)
  list(GET pair 1 module)
  pkg_check_modules(${name} REQUIRED IMPORTED_TARGET ${module})
endforeach()
# libunistring has no .pc file on Debian. libidn2 brings the library itself.
find_path(UNISTRING_INCLUDE unicase.h REQUIRED)
find_library(UNISTRING_LIBRARY unistring REQUIRED)
if(PARLEY_TESTS)
  pkg_check_modules(CHECK QUIET IMPORTED_TARGET check)
  if(NOT CHECK_FOUND)
    message(STATUS "check is missing: no unit tests (contrib/bootstrap.sh test brings it)")
  endif()
  pkg_check_modules(SMPP34 QUIET IMPORTED_TARGET libsmpp34) # what our SMPP is compared with
endif()

# Has no .pc file.
find_library(PHONENUMBER_LIBRARY phonenumber REQUIRED)
find_path(PHONENUMBER_HEADERS phonenumbers/phonenumberutil.h REQUIRED)

pkg_check_modules(LLHTTP QUIET IMPORTED_TARGET libllhttp)
if(LLHTTP_FOUND)
  add_library(parley_llhttp INTERFACE)
  target_link_libraries(parley_llhttp INTERFACE PkgConfig::LLHTTP)
else()
  find_path(LLHTTP_SOURCES llhttp.c HINTS ${PARLEY_LLHTTP_PREFIX}/usr/share/llhttp ${CMAKE_SOURCE_DIR}/build/llhttp/usr/share/llhttp
            /usr/share/llhttp REQUIRED)
  cmake_path(GET LLHTTP_SOURCES PARENT_PATH llhttp_share)
  add_library(parley_llhttp STATIC ${LLHTTP_SOURCES}/llhttp.c ${LLHTTP_SOURCES}/api.c ${LLHTTP_SOURCES}/http.c)
  target_include_directories(parley_llhttp SYSTEM PUBLIC ${llhttp_share}/include/llhttp ${llhttp_share}/include)
  target_compile_definitions(parley_llhttp PUBLIC LLHTTP_STRICT_MODE=1)
endif()
