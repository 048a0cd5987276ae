"""Documents of the format `eax-scrypt` as Python writes and reads them, with pycryptodome and scrypt (PyPI).

    twin.py read  < documents.jsonl > plain.jsonl
    twin.py write < plain.jsonl > documents.jsonl

The master key is in CLOAKROOM_MASTER_KEY. A second implementation to hold the program against, and the plain loop that
bench/eax_scrypt.py measures. `hash_ccv` is not written: bcrypt is another library.
"""

import base64
import json
import os
import sys

import scrypt
from Crypto.Cipher import AES

FIELDS = {"cc": "cc", "ccv": "ccv", "cuenta_numero": "cuenta"}


def kek(user, master_key, salt):
    return scrypt.hash(user.encode() + master_key.encode(), salt, N=4096, r=8, p=1, buflen=32)


def seal(key, data):
    cipher = AES.new(key, AES.MODE_EAX, nonce=os.urandom(16))
    ciphertext, tag = cipher.encrypt_and_digest(data)
    return [base64.b64encode(part).decode() for part in (ciphertext, tag, cipher.nonce)]


def unseal(key, document, name, stem):
    ciphertext, tag, nonce = (base64.b64decode(document.pop(part)) for part in (name, f"{stem}_tag", f"{stem}_nonce"))
    return AES.new(key, AES.MODE_EAX, nonce=nonce).decrypt_and_verify(ciphertext, tag)


def write(plain, master_key):
    dek, salt = os.urandom(32), os.urandom(32)
    document = dict(plain)
    for name, stem in FIELDS.items():
        document[name], document[f"{stem}_tag"], document[f"{stem}_nonce"] = seal(dek, plain[name].encode())
    wrapped = seal(kek(plain["username"], master_key, salt), dek)
    document["dek"], document["dek_tag"], document["dek_nonce"] = wrapped
    document["kek_salt"] = base64.b64encode(salt).decode()
    return document


def read(document, master_key):
    plain = dict(document)
    salt = base64.b64decode(plain.pop("kek_salt"))
    dek = unseal(kek(plain["username"], master_key, salt), plain, "dek", "dek")
    for name, stem in FIELDS.items():
        plain[name] = unseal(dek, plain, name, stem).decode()
    plain.pop("hash_ccv", None)
    return plain


def main():
    work = {"read": read, "write": write}[sys.argv[1]]
    master_key = os.environ["CLOAKROOM_MASTER_KEY"]
    for line in sys.stdin:
        print(json.dumps(work(json.loads(line), master_key), ensure_ascii=False))


if __name__ == "__main__":
    main()
