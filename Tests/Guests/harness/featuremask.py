"""A vhost-user relay that hides feature bits, for front-ends that accept whatever a back-end offers."""

import socket
import struct
import threading

_HEADER = struct.Struct("<III")
_GET_FEATURES = 1
_IS_REPLY = 1 << 2
_MOST_DESCRIPTORS = 64


class FeatureMask:
    """Listens at `path` for one front-end, and passes everything on to the back-end but the hidden bits."""

    def __init__(self, path, backend, hidden):
        self.path = path
        self._hidden = sum(1 << bit for bit in hidden)
        self._backend = backend
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(1)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        front, _ = self._listener.accept()
        back = socket.socket(socket.AF_UNIX)
        back.connect(str(self._backend))
        threading.Thread(target=self._relay, args=(back, front), daemon=True).start()
        self._relay(front, back)

    def _relay(self, source, target):
        try:
            while message := self._receive(source):
                data, descriptors = message
                socket.send_fds(target, [self._mask(data)], descriptors)
                for descriptor in descriptors:
                    socket.close(descriptor)
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _receive(self, source):
        """One whole message with its descriptors; None at the end."""
        data, descriptors = b"", []
        wanted = _HEADER.size
        while len(data) < wanted:
            more, new, _, _ = socket.recv_fds(source, wanted - len(data), _MOST_DESCRIPTORS)
            if not more:
                return None
            data += more
            descriptors += new
            if len(data) >= _HEADER.size:
                wanted = _HEADER.size + _HEADER.unpack_from(data)[2]
        return data, descriptors

    def _mask(self, data):
        request, flags, size = _HEADER.unpack_from(data)
        if request != _GET_FEATURES or not flags & _IS_REPLY or size != 8:
            return data
        (features,) = struct.unpack_from("<Q", data, _HEADER.size)
        return data[: _HEADER.size] + struct.pack("<Q", features & ~self._hidden)
