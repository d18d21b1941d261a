// swift-tools-version: 6.2
import PackageDescription

// Apart from the package itself: everything here, the modules under test too, is built with sanitizers. See Scripts/fuzz.
let package = Package(
  name: "fuzz-testing",
  dependencies: [.package(name: "muntin", path: "..")],
  targets: [
    .executableTarget(
      name: "fuzz", dependencies: [.product(name: "FuzzBodies", package: "muntin")],
      swiftSettings: [.unsafeFlags(["-parse-as-library"])])
  ]
)
