"""Ed25519 signatures, each over a context that says what kind of message it is and for which channel.

What is signed is `context(kind, channel) ‖ SHA-256(body)`, so that no signature can be replayed as another kind or on
another channel; epoch, view and height stand in the body. One rule for verification everywhere: libsodium's
(PyNaCl), which refuses low-order keys, low-order R and non-canonical scalars.
"""

from functools import lru_cache
from hashlib import sha256

from nacl.bindings import crypto_sign, crypto_sign_open, crypto_sign_seed_keypair

SEED_BYTES = 32
SIGNATURE_BYTES = 64


@lru_cache(maxsize=256)
def context(kind: str, channel: bytes) -> bytes:
    """What a signature is bound to: the kind of message and the genesis digest (32 bytes) of its channel."""
    assert len(channel) == 32
    return f"carbonledger/{kind}/v1\n".encode() + channel


def public_key(seed: bytes) -> bytes:
    """The 32-byte verification key of a 32-byte seed."""
    return _keys(seed)[0]


@lru_cache(maxsize=1024)
def _keys(seed: bytes) -> tuple[bytes, bytes]:
    """Verification key and libsodium's 64-byte secret key."""
    public, secret = crypto_sign_seed_keypair(seed)
    return public, secret


def sign_raw(seed: bytes, message: bytes) -> bytes:
    """The 64-byte signature over `message` itself: for signed notes only, whose context is their origin line."""
    return bytes(crypto_sign(message, _keys(seed)[1])[:SIGNATURE_BYTES])


def verify_raw(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` over `message` itself is by `key`."""
    if len(signature) != SIGNATURE_BYTES or len(key) != 32:
        return False
    try:
        crypto_sign_open(signature + message, key)
    except Exception:
        # PyNaCl raises BadSignatureError, and ValueError or TypeError on odd input: all mean "not by this key"
        return False
    return True


def sign(seed: bytes, kind: str, channel: bytes, body: bytes) -> bytes:
    """Sign `body` as a message of `kind` on `channel`."""
    return sign_raw(seed, context(kind, channel) + sha256(body).digest())


def verify(key: bytes, kind: str, channel: bytes, body: bytes, signature: bytes) -> bool:
    """Whether `signature` is by `key` over `body` as a message of `kind` on `channel`."""
    return verify_raw(key, context(kind, channel) + sha256(body).digest(), signature)


def check(key: bytes, kind: str, channel: bytes, message: bytes, signature: bytes) -> bool:
    """`verify`, or for an empty kind `verify_raw`: whatever is signed, for callers that remember what they checked."""
    return verify(key, kind, channel, message, signature) if kind else verify_raw(key, message, signature)
