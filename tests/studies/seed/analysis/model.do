import delimited "output/input.csv", clear
capture mkdir "models"
capture mkdir "figures"
log using "models/cox-model.txt", text replace
generate byte female = (sex == "F")
logit female age
log close
histogram age
graph export "figures/survival-plot.png", replace
