"""A certificate authority of a test's own, made with openssl(1), and a Recorder behind TLS. Python's standard library alone.

    authority = Authority(folder)
    with TlsRecorder(authority.make("good")) as shop: ...     # the daemon gets env={"PARLEY_CA_FILE": authority.ca}"""

import os
import ssl
import subprocess

from parley_test import Recorder

HANDSHAKE_S = 20


def openssl(*words, folder):
    subprocess.run(["openssl", *words], cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Authority:
    """CA certificate ca.pem, and NAME.pem with certificate and key of each server, in a folder."""

    def __init__(self, folder):
        self.folder = folder
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
                "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Tests", folder=folder)
        with open(self.path("ca.cnf"), "w", encoding="ascii") as file:
            file.write("[ca]\ndefault_ca=c\n[c]\nnew_certs_dir=.\ndatabase=ca.txt\nserial=ca.srl\ndefault_md=sha256\n"
                       "policy=p\ncopy_extensions=copy\nunique_subject=no\n[p]\ncommonName=supplied\n")
        open(self.path("ca.txt"), "w", encoding="ascii").close()
        with open(self.path("ca.srl"), "w", encoding="ascii") as file:
            file.write("01\n")

    @property
    def ca(self):
        return self.path("ca.pem")

    def path(self, name):
        return os.path.join(self.folder, name)

    def make(self, name, host="localhost", start="20200101000000Z", end="20491231235959Z", self_signed=False):
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key",
                "-out", f"{name}.csr", "-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}", folder=self.folder)
        signer = ["-selfsign", "-keyfile", f"{name}.key"] if self_signed else ["-cert", "ca.pem", "-keyfile", "ca.key"]
        openssl("ca", "-batch", "-notext", "-config", "ca.cnf", *signer, "-in", f"{name}.csr", "-out", f"{name}.crt",
                "-startdate", start, "-enddate", end, folder=self.folder)
        with open(self.path(f"{name}.pem"), "w", encoding="ascii") as out:
            for part in ("crt", "key"):
                with open(self.path(f"{name}.{part}"), encoding="ascii") as file:
                    out.write(file.read())
        return self.path(f"{name}.pem")


class TlsRecorder(Recorder):
    """A Recorder behind TLS. old: speaks TLS 1.0 and nothing newer."""

    def __init__(self, certificate, old=False):
        super().__init__()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if old:
            self.context.set_ciphers("ALL:@SECLEVEL=0")
            self.context.minimum_version = self.context.maximum_version = ssl.TLSVersion.TLSv1
        self.context.load_cert_chain(certificate)

    @property
    def url(self):
        return f"https://localhost:{self.port}{self.path}"

    def start(self):
        super().start()
        plain = self.server.get_request

        def get_request():
            peer, address = plain()
            peer.settimeout(HANDSHAKE_S)
            return self.context.wrap_socket(peer, server_side=True, do_handshake_on_connect=False), address

        self.server.get_request = get_request
        return self
