//! The two flows on a real store, a real queue and real keys, with faults between.

#[cfg(test)]
mod accepting;
#[cfg(test)]
mod adjusted;
#[cfg(test)]
mod asked;
#[cfg(test)]
mod crash_points;
#[cfg(test)]
mod deliveries;
#[cfg(test)]
mod detection;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod faulty;
#[cfg(test)]
mod flow;
#[cfg(test)]
mod overflow;
#[cfg(test)]
mod poison;
#[cfg(test)]
mod refusing;
#[cfg(test)]
mod scene;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod sources;
#[cfg(test)]
mod suspects;
