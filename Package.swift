// swift-tools-version: 6.2
import PackageDescription

// Platform is made of what Linux has, or of POSIX alone: on any other system, and wherever MUNTIN_PLATFORM=posix says so.
// Then only what runs there is built: the modules up to Hub, and their tests (Documentation/porting.md).
#if os(Linux)
  let isPOSIX = Context.environment["MUNTIN_PLATFORM"] == "posix"
#else
  let isPOSIX = true
#endif

/// The folders of a target that belong to the other one.
let otherPlatform = [isPOSIX ? "Linux" : "POSIX"]

let settings: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

/// A library target of this package, with its tests in Tests/NAMETests when `tested`.
func module(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(of name: String, _ extra: [Target.Dependency] = [], exclude: [String] = []) -> Target {
  .testTarget(
    name: name + "Tests", dependencies: [.target(name: name), "TestSupport"] + extra, exclude: exclude,
    swiftSettings: settings)
}

let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")

let package = Package(
  name: "muntin",
  products: [
    .executable(name: "muntin", targets: ["muntin"]),
    .executable(name: "muntin-guest", targets: ["muntin-guest"]),
    .executable(name: "muntin-bench", targets: ["MuntinBench"]),
    .executable(name: "muntin-bench-guest", targets: ["MuntinBenchGuest"]),
    .library(name: "FuzzBodies", targets: ["FuzzBodies"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
  ],
  targets: [
    // C: system calls that Swift cannot import, and the libraries.
    .target(name: "CPOSIX"),
    .target(name: "CLinux"),
    .target(name: "CDRM"),
    .systemLibrary(name: "CPixman", pkgConfig: "pixman-1", providers: [.apt(["libpixman-1-dev"])]),
    .target(name: "CVNC"),
    .target(name: "CVirglRenderer"),
    .systemLibrary(name: "CSeccomp", pkgConfig: "libseccomp", providers: [.apt(["libseccomp-dev"])]),
    .systemLibrary(name: "CPNG", pkgConfig: "libpng", providers: [.apt(["libpng-dev"])]),

    // The library for other programs (Library/Makefile builds it for them), for the tests and fuzz targets here.
    .target(
      name: "CMuntin", path: "Library", exclude: ["Makefile", "muntin.pc.in"], sources: ["source"],
      publicHeadersPath: "include"),

    // Leaves first; arrows go down only.
    // These three are also compiled as Embedded Swift: nothing but the standard library.
    module("Geometry"),
    module("VirtioRing"),
    module("GPUProtocol", ["VirtioRing", "Geometry"]),
    module("CrossDomain"),
    .target(
      name: "Platform", dependencies: isPOSIX ? ["CPOSIX"] : ["CPOSIX", "CLinux"],
      exclude: otherPlatform, swiftSettings: settings),
    module("Sandbox", ["Platform", "CLinux", "CSeccomp"]),
    module("Virtqueue", ["VirtioRing", "Platform"]),
    module("VhostUser", ["Virtqueue", "Buffers", "Platform"]),
    module("Buffers", ["Geometry", "Platform"]),
    module("GPUDevice", ["GPUProtocol", "Buffers", "Virtqueue", "Platform"]),
    module("Rendering", ["GPUDevice", "GPUProtocol", "Geometry", "Buffers", "Platform", "CVirglRenderer"]),
    module("HubProtocol", ["Buffers", "Platform"]),
    module("GuestChannel", ["GPUDevice", "Virtqueue", "CrossDomain", "HubProtocol", "Buffers", "Platform"]),
    module("Hub", ["HubProtocol", "Buffers", "Platform", logging]),
    module(
      "Compositor", ["HubProtocol", "Buffers", "Platform", "CPixman", "CVNC", "CPNG", logging]),
    module(
      "GPUBackend",
      [
        "GuestChannel", "Rendering", "GPUDevice", "VhostUser", "Virtqueue", "HubProtocol", "Buffers", "Sandbox",
        "Platform", logging,
      ]),
    module("Supervisor", ["Buffers", "Platform", logging]),
    module("Listing"),
    module("WaylandClient", ["Buffers", "Platform"]),

    // Executables.
    module(
      "MuntinCommands",
      [
        "GPUBackend", "Rendering", "Hub", "Compositor", "Supervisor", "HubProtocol", "Buffers", "Sandbox", "Platform",
        "Listing", "CPixman",
        "CVNC", "CPNG", logging,
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
    .executableTarget(name: "muntin", dependencies: ["MuntinCommands"], swiftSettings: settings),
    // What runs in guests: one file that needs nothing there.
    .target(
      name: "MuntinGuest",
      dependencies: [
        "WaylandClient", "CrossDomain", "HubProtocol", "Buffers", "Platform", "Listing", "CDRM", "CPNG",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], swiftSettings: settings, linkerSettings: [.linkedLibrary("z"), .linkedLibrary("m")]),
    .executableTarget(
      name: "muntin-guest", dependencies: ["MuntinGuest"], swiftSettings: settings,
      linkerSettings: [.unsafeFlags(["-static-executable"], .when(configuration: .release))]),
    .executableTarget(
      name: "MuntinBench",
      dependencies: [
        "Compositor", "GPUDevice", "CrossDomain", "VhostUser", "Virtqueue", "HubProtocol", "Buffers", "Platform",
        "CPixman", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], swiftSettings: settings),
    .executableTarget(
      name: "MuntinBenchGuest", dependencies: ["MuntinGuest", "HubProtocol", "Buffers", "Platform"],
      swiftSettings: settings,
      linkerSettings: [.unsafeFlags(["-static-executable"], .when(configuration: .release))]),

    // Tests, fuzz bodies.
    module(
      "FuzzBodies",
      [
        "Virtqueue", "VhostUser", "GPUDevice", "Rendering", "GuestChannel", "CrossDomain", "Hub", "HubProtocol",
        "Supervisor", "WaylandClient", "Buffers", "Platform", "CMuntin",
      ]),
    tests(of: "VirtioRing", ["CAllocations"]),
    tests(of: "CrossDomain"),
    .target(name: "TestSupport", dependencies: ["Platform"], path: "Tests/TestSupport", swiftSettings: settings),
    tests(of: "Platform", exclude: otherPlatform),
    .target(name: "CAllocations", path: "Tests/CAllocations"),
    tests(of: "Virtqueue", ["Platform", "CAllocations"]),
    tests(of: "VhostUser", ["Virtqueue", "Buffers", "Platform", "CAllocations"], exclude: otherPlatform),
    tests(of: "Buffers", exclude: otherPlatform),
    tests(of: "GPUDevice", ["Buffers", "Virtqueue", "Platform", "CAllocations"]),
    tests(of: "Rendering", ["CVirglRenderer", "GPUDevice", "Virtqueue", "Buffers", "Platform"]),
    tests(of: "HubProtocol", ["Buffers", "Platform"]),
    tests(of: "GuestChannel", ["Hub", "HubProtocol", "GPUDevice", "CrossDomain", "Virtqueue", "Buffers", "Platform"]),
    .executableTarget(
      name: "HubUnderTest", dependencies: ["Hub", logging], path: "Tests/HubUnderTest", swiftSettings: settings),
    tests(of: "Hub", ["HubUnderTest", "HubProtocol", "Buffers", "Platform"], exclude: otherPlatform),
    tests(of: "Compositor", ["Hub", "HubProtocol", "Buffers", "Platform", "CPNG", logging]),
    tests(
      of: "GPUBackend",
      ["muntin", "GPUDevice", "VhostUser", "Virtqueue", "HubProtocol", "Buffers", "Platform", logging]),
    .target(name: "CSandboxProbe", path: "Tests/CSandboxProbe"),
    .executableTarget(
      name: "SandboxProbe",
      dependencies: ["CSandboxProbe", "CSeccomp", "GPUBackend", "Rendering", "Sandbox", "Platform", logging],
      path: "Tests/SandboxProbe", swiftSettings: settings),
    tests(of: "Sandbox", ["SandboxProbe", "muntin", "Rendering", "Platform"]),
    tests(of: "WaylandClient", ["Buffers", "Platform"]),
    tests(of: "Supervisor", ["Buffers", "Platform", logging]),
    tests(
      of: "MuntinCommands",
      ["muntin", "Supervisor", "Rendering", "Hub", "HubProtocol", "Buffers", "Platform", "Listing"]),
    tests(
      of: "MuntinGuest",
      ["HubProtocol", "Buffers", .product(name: "ArgumentParser", package: "swift-argument-parser")]),
    .target(
      name: "LifeSupport", dependencies: ["GPUDevice", "VhostUser", "Virtqueue", "Buffers", "Platform"],
      path: "Tests/LifeSupport", swiftSettings: settings),
    .executableTarget(
      name: "LifeParts", dependencies: ["LifeSupport", "CMuntin", "HubProtocol", "Buffers", "Platform"],
      path: "Tests/LifeParts", swiftSettings: settings),
    .target(name: "CKMS", path: "Tests/CKMS"),
    .executableTarget(
      name: "InsideGuest",
      dependencies: [
        "CKMS", "CDRM", "LifeSupport", "MuntinGuest", "CrossDomain", "VhostUser", "GPUDevice", "Virtqueue",
        "HubProtocol", "Buffers", "Platform",
      ],
      path: "Tests/InsideGuest", swiftSettings: settings),
    .testTarget(
      name: "LifeTests",
      dependencies: ["muntin", "LifeParts", "LifeSupport", "HubProtocol", "Buffers", "Platform"],
      swiftSettings: settings),
    tests(of: "MuntinBench"),
    .testTarget(
      name: "LibraryTests", dependencies: ["muntin", "CMuntin", "CrossDomain", "Platform", "CPNG"],
      swiftSettings: settings),
    tests(of: "FuzzBodies"),
  ]
)

if isPOSIX {
  let portable = [
    "Geometry", "VirtioRing", "GPUProtocol", "CrossDomain", "Platform", "Virtqueue", "VhostUser", "Buffers",
    "GPUDevice",
    "HubProtocol", "Hub",
  ]
  let kept = Set(portable + portable.map { $0 + "Tests" } + ["CPOSIX", "CAllocations", "HubUnderTest", "TestSupport"])
  package.targets.removeAll { !kept.contains($0.name) }
  package.products = []
  package.dependencies.removeFirst()
}
