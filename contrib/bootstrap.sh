#!/bin/sh
# bootstrap.sh - installs exactly the Debian packages that Parley needs here and this machine lacks.
#
# usage: contrib/bootstrap.sh [--check] [GROUP...]
#   build (default)  what the build needs
#   demo             what examples/first-run.sh shows with: an independent SMTP sink and curl; no mail server
#   test             what tests/run.sh needs beside: compilers for the fuzzers, fault tools, a PostgreSQL server, peers
#   --check          only tells what is missing; exit 1 when something is
#
# Debian 12 or newer, as root or with sudo. Nothing is ever removed, no service is started, and the package lists are
# refreshed only when something is missing. Some packages are unpacked and not installed: on Debian 12 the C sources of
# llhttp (build/llhttp), since node-llhttp would bring in all of Node, and what stands around a PostgreSQL server (pgbouncer,
# patroni, etcd) and rspamd (build/peers/debian), since these would start their services, and OpenSMTPD, which would turn out
# Postfix. The server itself makes and starts no cluster.
set -eu

top=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
lock_timeout_s=600

BUILD='gcc g++ cmake make ninja-build pkg-config libuv1-dev libcurl4-openssl-dev libjansson-dev libssl-dev libsqlite3-dev
libyaml-dev libpq-dev libc-ares-dev libidn2-dev libunistring-dev libphonenumber-dev libgumbo-dev libgmime-3.0-dev libseccomp-dev tzdata'
DEMO='python3 python3-aiosmtpd curl ca-certificates'
TEST='check gdb python3 python3-aiosmtpd curl swaks libnet-ssleay-perl strace faketime e2fsprogs mount util-linux shellcheck
 openssl git python3-dkim libmail-dkim-perl libsisimai-perl sasl2-bin libsasl2-modules chromium chromium-driver dovecot-core
 dovecot-imapd dovecot-lmtpd libsmpp34-dev libnet-smpp-perl'
# What UNPACKED needs of the system beside libraries that are there already; patroni is Python.
AROUND_POSTGRES='python3-psycopg2 python3-etcd python3-click python3-dateutil python3-prettytable python3-psutil
python3-urllib3 python3-yaml python3-cdiff python3-pkg-resources'
UNPACKED='pgbouncer patroni etcd-server opensmtpd'
RSPAMD='libhyperscan5 libluajit-5.1-2' # what rspamd needs of the system; it starts a service, so it is unpacked as well
KANNEL='libct4 libhiredis0.14 libmariadb3 libpcre3' # what Kannel does, which the bench measures beside ours; the same holds
no_cluster=/etc/postgresql-common/createcluster.d/parley-bootstrap.conf

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

has_postgres()
{
  for server in /usr/lib/postgresql/*/bin/postgres; do
    [ ! -x "$server" ] || return 0
  done
  return 1
}

llhttp_sources_present()
{
  [ -r "$top/build/llhttp/usr/share/llhttp/llhttp.c" ] || [ -r /usr/share/llhttp/llhttp.c ]
}

# Prints those of UNPACKED that are neither installed nor unpacked.
not_unpacked()
{
  for package in $UNPACKED; do
    is_installed "$package" || [ -d "$top/build/peers/debian/$package/usr" ] || echo "$package"
  done
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
        echo clang-14 libclang-rt-14-dev libevent-2.1-7
      else
        echo clang libclang-rt-dev libevent-2.1-7t64
      fi
      printf '%s\n' "$AROUND_POSTGRES"
      has_postgres || echo postgresql
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

# dovecot too is there for its programs. Its service is masked, so that nothing listens that nobody asked for; who wants it
# says `systemctl unmask dovecot`.
mask_dovecot()
{
  [ ! -d /etc/systemd/system ] || [ -e /etc/systemd/system/dovecot.service ] ||
    as_root ln -s /dev/null /etc/systemd/system/dovecot.service
}

# A new server would make a cluster and start it. The file that says no to that is gone again afterwards: what the owner of
# this machine installs later does as Debian does.
make_no_cluster()
{
  as_root mkdir -p "${no_cluster%/*}"
  echo 'create_main_cluster = false' | as_root tee "$no_cluster" >/dev/null
  trap 'as_root rm -f "$no_cluster"' EXIT
  trap 'exit 1' HUP INT TERM
}

install_missing()
{
  refresh_lists
  case " $missing " in *" postfix "*) leave_postfix_unconfigured ;; esac
  case " $missing " in *" dovecot-core "*) mask_dovecot ;; esac
  case " $missing " in *" postgresql "*) make_no_cluster ;; esac
  # shellcheck disable=SC2086
  set -- install -y -q --no-install-recommends --no-remove $missing
  echo "+ apt-get $*"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=$lock_timeout_s "$@"
}

# unpack PACKAGE FOLDER: into build/FOLDER, without installing it.
unpack()
{
  mkdir -p "$top/build/$2"
  cd "$top/build/$2"
  rm -f "$1"_*.deb
  echo "+ apt-get download $1; dpkg-deb -x $1_*.deb build/$2"
  apt-get -q -o APT::Sandbox::User=root download "$1" >/dev/null 2>&1 || {
    refresh_lists
    apt-get -q -o APT::Sandbox::User=root download "$1"
  }
  dpkg-deb -x "$1"_*.deb .
  rm -f "$1"_*.deb
  cd "$top"
}

unpack_missing()
{
  for package in $to_unpack; do
    case $package in
      node-llhttp)
        unpack node-llhttp llhttp
        llhttp_sources_present || die "node-llhttp holds no llhttp.c any more; set PARLEY_LLHTTP_PREFIX to where the sources are"
        ;;
      *) unpack "$package" "peers/debian/$package" ;;
    esac
  done
}

check_only=
refreshed=
groups=
for word in "$@"; do
  case $word in
    --check) check_only=yes ;;
    build | demo | test) groups="$groups $word" ;;
    -h | --help)
      sed -n '2,15s/^# \{0,1\}//p' "$0"
      exit 0
      ;;
    *) die "unknown word '$word' (groups: build demo test; --check)" ;;
  esac
done
[ -n "$groups" ] || groups=build
command -v dpkg-query >/dev/null 2>&1 || die "needs a Debian system (no dpkg-query here)"

release=$(debian_release)
if [ "$release" -lt 13 ] && [ "$(dpkg --print-architecture)" = amd64 ]; then
  TEST="$TEST $RSPAMD $KANNEL"
  UNPACKED="$UNPACKED rspamd kannel"
fi
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
to_unpack=
case $groups in
  *build*) [ "$release" -ge 13 ] || llhttp_sources_present || to_unpack=node-llhttp ;;
esac
case $groups in
  *test*) for package in $(not_unpacked); do to_unpack="${to_unpack:+$to_unpack }$package"; done ;;
esac

if [ -z "$missing$to_unpack" ]; then
  echo "bootstrap: nothing is missing for:$groups"
  exit 0
fi
if [ -n "$check_only" ]; then
  [ -z "$missing" ] || echo "apt-get install --no-install-recommends $missing"
  [ -z "$to_unpack" ] || echo "apt-get download $to_unpack   (unpacked below build)"
  exit 1
fi
[ -z "$missing" ] || install_missing
unpack_missing
echo "bootstrap: all is there for:$groups"
