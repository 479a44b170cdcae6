"""Which addresses may be a model endpoint. Pure."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from inference.errors import AddressNotAllowed


def normalised_address(text: str, *, allow_loopback: bool) -> str:
    """The base URL of an engine in one spelling. Raises AddressNotAllowed with the reason.

    Private networks are where engines belong. Loopback is this machine, which is right only in the
    embedded stack; link-local addresses are where clouds keep the metadata of their machines.
    """
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:
        raise AddressNotAllowed("This is not a URL. It looks like http://10.0.0.5:8000.") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise AddressNotAllowed("An address begins with http:// or https:// and names a host.")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise AddressNotAllowed("An address holds no user, password, query or fragment.")
    ensure_reachable_host(parts.hostname, allow_loopback=allow_loopback)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    netloc = f"{host}:{port}" if port else host
    path = parts.path.rstrip("/").removesuffix("/v1")
    return f"{parts.scheme}://{netloc}{path}"


def ensure_reachable_host(host: str, *, allow_loopback: bool) -> None:
    if host == "localhost" or host.endswith(".localhost"):
        address = ip_address("127.0.0.1")
    else:
        try:
            address = ip_address(host)
        except ValueError:
            return  # a name: it is resolved, and judged, where it is connected to
    mapped = getattr(address, "ipv4_mapped", None) or address
    if mapped.is_link_local or mapped.is_multicast or mapped.is_unspecified:
        raise AddressNotAllowed("Link-local, multicast and unspecified addresses are not allowed.")
    if mapped.is_loopback and not allow_loopback:
        raise AddressNotAllowed(
            "Loopback addresses are allowed in the embedded stack only: other machines could not "
            "reach this endpoint. Use the address of a network interface."
        )
