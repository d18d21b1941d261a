/// What a fuzzer calls with each input: the parser or state machine under test must survive it.
public typealias FuzzBody = @Sendable (UnsafeRawBufferPointer) -> Void

/// All fuzz targets by name. `Scripts/fuzz` runs each of them; the tests replay Tests/Corpus/NAME through it.
public let fuzzTargets: [String: FuzzBody] = [
  "applications": fuzzApplications,
  "channel": fuzzChannel,
  "configuration": fuzzConfiguration,
  "displaySocket": fuzzDisplaySocket,
  "gpuDevice": fuzzGPUDevice,
  "hubPacket": fuzzHubPacket,
  "hubSession": fuzzHubSession,
  "library": fuzzLibrary,
  "link": fuzzLink,
  "packedQueue": fuzzPackedQueue,
  "rangeTable": fuzzRangeTable,
  "rendering": fuzzRendering,
  "splitQueue": fuzzSplitQueue,
  "vhostUserMessages": fuzzVhostUserMessages,
  "vhostUserSession": fuzzVhostUserSession,
  "wayland": fuzzWayland,
  "waylandChannel": fuzzWaylandChannel,
]

/// Those that need a library of the machine's and may die of it: they have a process of their own. Each takes the inputs of
/// another target, whose corpus is theirs.
public let libraryFuzzTargets: [String: FuzzBody] = [
  "virgl": fuzzVirgl
]
