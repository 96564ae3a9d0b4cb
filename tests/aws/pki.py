"""Certificate authorities, certificates and keys, as the tests need them: PEM, made on the spot."""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)


def ec_key(curve=ec.SECP256R1):
    return ec.generate_private_key(curve())


def rsa_key(bits=2048):
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def pem(key, form=serialization.PrivateFormat.PKCS8):
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


class Issued:
    """A certificate with its key; `chain` is what a client needs besides to get to a root."""

    def __init__(self, certificate, key, chain=b""):
        self.certificate = certificate.public_bytes(serialization.Encoding.PEM)
        self.serial = certificate.serial_number
        self.subject = certificate.subject
        self.key, self.private_key, self.chain = key, pem(key), chain

    def material(self):
        """As ImportCertificate takes it."""
        chain = {"CertificateChain": self.chain} if self.chain else {}
        return {"Certificate": self.certificate, "PrivateKey": self.private_key, **chain}


def issue(name, sans=(), key=None, by=None, authority=False, days=(-1, 90), client=False):
    """Signed by `by`, or by itself."""
    key = key or ec_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + days[0] * DAY)
        .not_valid_after(now + days[1] * DAY)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if sans:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(san) for san in sans]), False)
    if not authority:
        usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), False)
    certificate = builder.sign(by.key if by else key, hashes.SHA256())
    chain = by.certificate + by.chain if by else b""
    return Issued(certificate, key, chain)
