import Platform
import Virtqueue

/// Everything that can go wrong between a front-end and a back-end.
public enum VhostUserError: Error, Equatable, Sendable {
  /// The kernel refused.
  case system(SystemError)

  // Framing: the connection cannot go on.
  /// The header's version is not 1, or a reply came where a request should.
  case wrongFlags(request: UInt32, flags: UInt32)
  /// The payload would be larger than any message is.
  case messageTooLarge(request: UInt32, size: UInt32)

  // One request is refused.
  /// The payload's size does not fit the request.
  case wrongSize(request: UInt32, size: UInt32)
  /// Nobody specified this request.
  case unknownRequest(UInt32)
  /// The request needs a feature that is not offered.
  case unsupported(RequestCode)
  /// The message carried another number of descriptors than the request has.
  case wrongDescriptorCount(RequestCode, found: Int)
  /// The device has no such ring.
  case noSuchRing(UInt32)
  /// The ring cannot be changed while it runs.
  case ringRuns(UInt32)
  /// A ring cannot have that many entries.
  case ringSize(UInt32)
  /// Access to configuration space outside of it.
  case configurationRange(offset: UInt32, size: UInt32)
  /// The region's numbers wrap, are zero, or overlap another region's.
  case badRegion(RegionDescription)
  /// The file ends before the region does.
  case regionBeyondFile(RegionDescription, fileSize: UInt64)
  /// The region's descriptor is no file that can be mapped.
  case regionNoFile(RegionDescription)
  /// More regions than there are slots.
  case tooManyRegions(Int)
  /// No region has these addresses and size.
  case noSuchRegion(RegionDescription)
  /// The descriptor to ring is no doorbell.
  case noDoorbell(RequestCode)
  /// A ring cannot be used as it was set up.
  case ring(UInt32, VirtqueueError)

  // The connection ended.
  /// The peer has gone.
  case closed
  /// The peer took memory away that it had shared.
  case memoryFault
  /// It connected, never said that it is the device's owner, and fell silent while another one waited.
  case silent
  /// The back-end was told to end.
  case ended

  // Seen by a front-end.
  /// No answer in time.
  case timeout
  /// The back-end answered with an error.
  case refused(RequestCode, UInt64)
  /// The answer is not one to the request.
  case unexpectedReply(request: UInt32)
}
