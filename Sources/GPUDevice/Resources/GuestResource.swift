/// What a guest calls by a resource id: a ``Resource`` of CREATE_2D, or a ``Blob``.
class GuestResource {
  let id: ResourceID
  /// Which scanouts show it, one bit each.
  var scanouts: UInt16 = 0

  init(_ id: ResourceID) {
    self.id = id
  }
}
