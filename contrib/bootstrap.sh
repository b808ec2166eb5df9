#!/bin/sh
# bootstrap.sh - installs exactly the Debian packages that Parley needs here and this machine lacks.
#
# usage: contrib/bootstrap.sh [--check] [GROUP...]
#   build (default)  what the build needs
#   demo             what examples/first-run.sh shows with: an independent SMTP sink and curl; no mail server
#   test             what tests/run.sh needs beside: compilers for the fuzzers, fault tools, peers
#   --check          only tells what is missing; exit 1 when something is
#
# Debian 12 or newer, as root or with sudo. Nothing is ever removed, no service is started, and the package lists are
# refreshed only when something is missing. On Debian 12 the C sources of llhttp are unpacked into build/llhttp out of
# the node-llhttp package, which would bring in all of Node if it were installed.
set -eu

top=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
lock_timeout_s=600

BUILD='gcc g++ cmake make ninja-build pkg-config libuv1-dev libcurl4-openssl-dev libjansson-dev libssl-dev libsqlite3-dev
libyaml-dev libpq-dev libc-ares-dev libidn2-dev libgumbo-dev libgmime-3.0-dev libseccomp-dev tzdata'
DEMO='python3 python3-aiosmtpd curl ca-certificates'
TEST='check gdb python3 python3-aiosmtpd curl swaks libnet-ssleay-perl strace faketime e2fsprogs mount util-linux shellcheck
openssl git'

die()
{
  echo "bootstrap: $*" >&2
  exit 1
}

is_installed()
{
  case $(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null) in
    installed) return 0 ;;
    *) return 1 ;;
  esac
}

# The release number, 12 for bookworm; a testing system without a number counts as newer.
debian_release()
{
  VERSION_ID=
  # shellcheck disable=SC1091
  [ ! -r /etc/os-release ] || . /etc/os-release
  VERSION_ID=${VERSION_ID%%.*}
  echo "${VERSION_ID:-99}"
}

# A second mail server would push out the one that is there, so postfix joins only a machine that has none.
has_mail_server()
{
  for server in $(dpkg-query -W -f='${db:Status-Status} ${Package} ${Provides}\n' 2>/dev/null |
    sed -n 's/^installed \([^ ]*\) .*mail-transport-agent.*/\1/p'); do
    [ "$server" = postfix ] || return 0
  done
  return 1
}

llhttp_sources_present()
{
  [ -r "$top/build/llhttp/usr/share/llhttp/llhttp.c" ] || [ -r /usr/share/llhttp/llhttp.c ]
}

# Prints the packages of one group, one a line.
group_packages()
{
  case $1 in
    build)
      printf '%s\n' "$BUILD"
      [ "$release" -lt 13 ] || echo libllhttp-dev
      ;;
    demo) printf '%s\n' "$DEMO" ;;
    test)
      printf '%s\n' "$TEST"
      if [ "$release" -lt 13 ]; then
        echo clang-14 libclang-rt-14-dev
      else
        echo clang libclang-rt-dev
      fi
      command -v npm >/dev/null 2>&1 || echo npm
      if has_mail_server; then
        echo "bootstrap: another mail server is installed, postfix stays out (its tests are skipped)" >&2
      else
        echo postfix
      fi
      ;;
  esac
}

as_root()
{
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null 2>&1; then
    sudo "$@"
  else
    die "needs root or sudo for: $*"
  fi
}

refresh_lists()
{
  [ -z "$refreshed" ] || return 0
  echo "+ apt-get update"
  as_root apt-get -q -o DPkg::Lock::Timeout=$lock_timeout_s update
  refreshed=yes
}

# postfix is there for its programs, which the tests start with folders and ports of their own: "No configuration"
# leaves it without a main.cf, and without one its service never starts.
leave_postfix_unconfigured()
{
  echo 'postfix postfix/main_mailer_type select No configuration' | as_root debconf-set-selections
}

install_missing()
{
  refresh_lists
  case " $missing " in *" postfix "*) leave_postfix_unconfigured ;; esac
  # shellcheck disable=SC2086
  set -- install -y -q --no-install-recommends --no-remove $missing
  echo "+ apt-get $*"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=$lock_timeout_s "$@"
}

unpack_llhttp()
{
  mkdir -p "$top/build/llhttp"
  cd "$top/build/llhttp"
  rm -f node-llhttp_*.deb
  echo "+ apt-get download node-llhttp; dpkg-deb -x node-llhttp_*.deb build/llhttp"
  apt-get -q -o APT::Sandbox::User=root download node-llhttp >/dev/null 2>&1 || {
    refresh_lists
    apt-get -q -o APT::Sandbox::User=root download node-llhttp
  }
  dpkg-deb -x node-llhttp_*.deb .
  rm -f node-llhttp_*.deb
  cd "$top"
  llhttp_sources_present || die "node-llhttp holds no llhttp.c any more; set PARLEY_LLHTTP_PREFIX to where the sources are"
}

check_only=
refreshed=
groups=
for word in "$@"; do
  case $word in
    --check) check_only=yes ;;
    build | demo | test) groups="$groups $word" ;;
    -h | --help)
      sed -n '2,13s/^# \{0,1\}//p' "$0"
      exit 0
      ;;
    *) die "unknown word '$word' (groups: build demo test; --check)" ;;
  esac
done
[ -n "$groups" ] || groups=build
command -v dpkg-query >/dev/null 2>&1 || die "needs a Debian system (no dpkg-query here)"

release=$(debian_release)
wanted=
for group in $groups; do
  wanted="$wanted $(group_packages "$group")"
done
missing=
for package in $wanted; do
  case " $missing " in *" $package "*) continue ;; esac
  is_installed "$package" || missing="$missing $package"
done
missing=${missing# }
needs_llhttp=
case $groups in
  *build*) [ "$release" -ge 13 ] || llhttp_sources_present || needs_llhttp=yes ;;
esac

if [ -z "$missing$needs_llhttp" ]; then
  echo "bootstrap: nothing is missing for:$groups"
  exit 0
fi
if [ -n "$check_only" ]; then
  [ -z "$missing" ] || echo "apt-get install --no-install-recommends $missing"
  [ -z "$needs_llhttp" ] || echo "apt-get download node-llhttp   (unpacked into build/llhttp)"
  exit 1
fi
[ -z "$missing" ] || install_missing
[ -z "$needs_llhttp" ] || unpack_llhttp
echo "bootstrap: all is there for:$groups"
