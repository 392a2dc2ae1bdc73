mod reading;
mod safety;
mod story;
mod views;
mod writing;
